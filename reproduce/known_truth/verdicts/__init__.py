"""How often is a verdict on sharing wrong?"""
